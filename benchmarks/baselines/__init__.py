"""Renderers of other papers, trained on the same footage within the same budget."""
