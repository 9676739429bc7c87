"""Something to click: try, label, train and review in a browser, on this machine alone.

What the pages do is in files that know nothing of gradio; the pages are thin.
"""
