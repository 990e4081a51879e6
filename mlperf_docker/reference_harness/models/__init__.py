"""Files as the reference implementations want them: a module for each model that wants other ones than ours."""
