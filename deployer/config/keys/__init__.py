"""The definition of every config key, a module for each part of a config."""
