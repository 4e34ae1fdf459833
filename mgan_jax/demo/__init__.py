"""The embedded demo: drawn scenes, small networks trained on them, and what the tour shows."""
