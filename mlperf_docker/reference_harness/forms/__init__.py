"""Files of models in the forms that references read, made of our own weights."""
