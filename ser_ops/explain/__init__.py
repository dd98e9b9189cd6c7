"""Why a model answered as it did: attributions as arrays, and figures drawn from them."""
