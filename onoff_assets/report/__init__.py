"""A report: a folder of static pages, tables and figures, made from a store and opened without a server.

It reads and never writes the store, loads no model, and its pages ask nothing of any host. Lowest first:

    markup                                    HTML from text: everything is escaped, nothing is markup by itself
    gathering choosing                        what there is of the partitions; which responses are shown
    tables figures pgfplots methods           rows as HTML, CSV and LaTeX; curves as SVG and LaTeX; the methods
    differences calibration                   models compared; whether confidence tells right from wrong
    embedding response_page widget            one response with its tokens, as a page of its own or in a notebook
    index_page writing                        the first page; the folder

The token view is the browser's own: the same script over the same numbers, without Streamlit.
"""
