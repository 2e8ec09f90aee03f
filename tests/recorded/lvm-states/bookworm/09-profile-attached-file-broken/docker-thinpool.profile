activation {
  thin_pool_autoextend_threshold=
