module github.com/sigpost/sigpost/test/clients/gosdk

go 1.26.0

require github.com/svix/svix-webhooks v1.99.1

require github.com/google/uuid v1.6.0 // indirect
