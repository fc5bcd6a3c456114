# What messages are signed with, where chats are that must not be known, and the login at the mail server.
path "secret/data/stead/webhook" {
  capabilities = ["read"]
}
path "secret/data/stead/chat" {
  capabilities = ["read"]
}
path "secret/data/mail/*" {
  capabilities = ["read"]
}
