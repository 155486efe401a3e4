"""Checks of what is asked and answered: let it pass, hide a part of it, or refuse it. Texts in, a verdict out.

`texts.py` finds the texts of a request or an answer in any API's words, `streamed.py` those of a stream; the other files are the checks.
"""
