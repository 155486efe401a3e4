"""The gateway as a Lambda function: a streaming Runtime API loop (`runtime`) and API Gateway's JSON as ASGI (`events`)."""
