"""The trainer: a dataset in, a bundle out."""
