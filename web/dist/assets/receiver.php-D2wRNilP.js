var e=`<?php
// A receiver in PHP that verifies what it gets, with no packages.
// WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:3000 receiver.php

function verify(string $secret, array $headers, string $body): void
{
    $id = $headers['webhook-id'] ?? '';
    $at = $headers['webhook-timestamp'] ?? '';
    if (!ctype_digit($at) || abs(time() - (int) $at) > 300) {
        throw new RuntimeException('the timestamp is missing or too old');
    }
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret), true);
    if ($key === false || $key === '') {
        throw new RuntimeException('WEBHOOK_SECRET is not base64');
    }
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$body", $key, true));
    foreach (explode(' ', $headers['webhook-signature'] ?? '') as $given) {
        if (hash_equals($want, $given)) {
            return;
        }
    }
    throw new RuntimeException('no signature matches');
}

$body = file_get_contents('php://input'); // the exact bytes, before any parser
$headers = array_change_key_case(getallheaders(), CASE_LOWER);
try {
    verify(getenv('WEBHOOK_SECRET') ?: '', $headers, $body);
} catch (RuntimeException $e) {
    http_response_code(401);
    exit($e->getMessage());
}
// Keep it before you answer; the same webhook-id may come again.
error_log($headers['webhook-id'] . ': ' . strlen($body) . ' bytes');
http_response_code(204);
`;export{e as default};