"""``p2p-guard report``: cell results in, one page that people can read out. Charts, tables and the Markdown come from the same data."""
