"""What leaves the API, described for the OpenAPI document, a module for each noun as in `routes`.

Views are built by `controller.model.views`; a test holds them against these shapes.
"""
