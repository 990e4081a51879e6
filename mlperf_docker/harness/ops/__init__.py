"""Operations that architectures call, one implementation per backend."""
