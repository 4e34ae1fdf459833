"""The paper's analyses of the multi-code prior, and the inversion of images in memory that they rest on."""
