"""Proofs that third parties can check: Merkle trees and signed notes (with the audit log)."""
