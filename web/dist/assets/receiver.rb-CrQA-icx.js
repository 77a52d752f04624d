var e=`# A receiver in Ruby that verifies what it gets, with the standard library only.
# WEBHOOK_SECRET=whsec_… ruby receiver.rb
require "openssl"
require "socket"

def verify(secret, headers, body)
  id = headers["webhook-id"].to_s
  at = headers["webhook-timestamp"].to_s
  raise "the timestamp is missing or too old" unless at.match?(/\\A\\d+\\z/) && (Time.now.to_i - at.to_i).abs <= 300

  key = secret.delete_prefix("whsec_").unpack1("m0")
  want = "v1," + [OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{at}.".b + body)].pack("m0")
  given = headers["webhook-signature"].to_s.split
  raise "no signature matches" unless given.any? { |g| OpenSSL.secure_compare(g, want) }
end

# Your framework reads the request for you: take its raw body, not its params.
def read(client)
  client.gets
  headers = {}
  while (line = client.gets) && line != "\\r\\n"
    name, value = line.split(":", 2)
    headers[name.downcase] = value.strip
  end
  [headers, client.read(headers["content-length"].to_i).b]
end

server = TCPServer.new("127.0.0.1", Integer(ENV.fetch("PORT", "3000")))
loop do
  Thread.new(server.accept) do |client|
    headers, body = read(client)
    verify(ENV.fetch("WEBHOOK_SECRET"), headers, body)
    # Keep it before you answer; the same webhook-id may come again.
    puts "#{headers["webhook-id"]}: #{body.bytesize} bytes"
    client.write "HTTP/1.1 204 No Content\\r\\nConnection: close\\r\\n\\r\\n"
  rescue StandardError => e
    client.write "HTTP/1.1 401 Unauthorized\\r\\nConnection: close\\r\\nContent-Length: #{e.message.bytesize}\\r\\n\\r\\n#{e.message}"
  ensure
    client.close
  end
end
`;export{e as default};