"""One module a page, each with `show`; `common` is what they share.

Not called `pages`: a folder of that name beside the script makes Streamlit serve its modules as pages by themselves.
"""
