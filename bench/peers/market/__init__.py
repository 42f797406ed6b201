"""A marketplace of the usual make: models, serializers, filters, viewsets."""
