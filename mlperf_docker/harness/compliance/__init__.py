"""Compliance tests: LoadGen's settings of an audit, answers and figures compared with those of earlier runs."""
