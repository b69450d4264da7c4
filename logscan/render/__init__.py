"""The finished report, as text for a mail, for a terminal, and as JSON, CSV, Markdown and HTML.

Every renderer is a pure function of the report's dict (``logscan.report/1``): same dict, same text.
"""
