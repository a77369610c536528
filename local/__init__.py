"""The PostgreSQL and the AWS that run on this machine: thin glue, none of it is deployed."""
