"""One file a method of the catalogue (ser_ops/methods.py), of the same name: how it is computed."""
