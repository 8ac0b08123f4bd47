"""``sansice simulate --sweep``: very many sessions, on a Dask cluster, into Parquet."""
