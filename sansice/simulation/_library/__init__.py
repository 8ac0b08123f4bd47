"""The library: networks as one meets them in the field, each with how it ends today."""
