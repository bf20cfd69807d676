"""The lab: interventions on the model."""
