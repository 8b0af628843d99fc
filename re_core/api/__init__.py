"""What travels over HTTP, described once: answers, requests, and what is made of the descriptions.

A document is a TypedDict whose fields say in `Annotated` what a type cannot: limits, texts, an old key. Of these come the
OpenAPI document, the tables of docs/reference/documents.md, the check of request bodies, and the types that the use
cases return and that the client reads. Pure; must not know routes.
"""
