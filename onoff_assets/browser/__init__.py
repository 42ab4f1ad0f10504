"""The browser: Streamlit pages over the store, where one sees at which token a model was unsure.

It reads and never writes, never loads a model or a tokenizer, and works while runs write. Lowest first:

    text colour measures pieces bars lens prefix_tree links flips     values in, values out; no Streamlit, no files
    cache reading aggregates grid_rows                                read the store, a page's worth at a time
    components/                                                       what Streamlit lacks: text nodes, never HTML
    views/ app                                                        one module a page

Everything a model or a data set wrote reaches the page as text only.
"""
