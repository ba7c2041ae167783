"""The store on a real Valkey, alone and in cluster mode."""
