"""Speak Google's protocols for the emulator: Cloud Run's and Cloud Monitoring's gRPC, and Knative's REST form."""
