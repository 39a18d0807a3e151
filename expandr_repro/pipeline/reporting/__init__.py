"""Reports: runs on the same judgements gathered into one page of HTML that needs nothing but a browser."""
