"""Help for those who write records: new records with code and tests, mechanical repairs, remarks, and the forms of the repository.

Nothing here is needed to read or query the records.
"""
