"""The name that an encoder has in a store."""


def stored_name(encoder: str, dtype: str) -> str:
    """Name an encoder in the store: float32 vectors are kept apart from float16 ones."""
    return f"{encoder}-f32" if dtype == "float32" else encoder
