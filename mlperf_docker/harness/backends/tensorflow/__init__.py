"""TensorFlow: frozen graphs and SavedModels as they are, networks as graphs."""
