"""Journals of every format so far, as the engines of their time wrote them, and what was made of them."""
