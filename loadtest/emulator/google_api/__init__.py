"""Implement Google's APIs for the emulator: gRPC of Cloud Run and Cloud Monitoring, and the Knative REST form."""
