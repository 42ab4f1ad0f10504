"""The browser: Streamlit pages over the store, where one sees at which token a model was unsure.

It reads results and never writes one, never loads a model or a tokenizer, and works while runs write. What it
writes are notes, beside the results (`onoff_core.store.notes`). Lowest first:

    text numbers colour measures pieces bars lens prefix_tree links   values in, values out; no Streamlit, no files
    queries searching computing downloads                             the same, of tables
    cache reading aggregates grid_rows facts branching side           read the store, a page's worth at a time
    response_rows problem_rows problem_differences pairs              the same, of tables
    components/                                                       what Streamlit lacks: text nodes, never HTML
    views/ app                                                        one module a page

Everything a model or a data set wrote reaches the page as text only.
"""
