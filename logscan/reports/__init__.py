"""What is made of a finished run: the report's document, and the rows of the export."""
