"""The engine of a run: networks, compiled programs, batch slots, memory and the compilation cache."""
