"""From what a model generated to the text that is searched: reasoning, chatter and refusals found."""
