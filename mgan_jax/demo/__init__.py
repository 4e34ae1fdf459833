"""The embedded demo: drawn scenes and small networks trained on them."""
