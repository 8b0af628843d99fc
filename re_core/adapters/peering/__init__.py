"""How pipelines reach their peers: signatures, sources of cdpm.yml, sealed keys. Needs the extra `cdpm`.

Must not know pipelines.
"""
