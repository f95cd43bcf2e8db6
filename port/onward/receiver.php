<?php
// Takes what cmcwh posts (format=json), each event once, and answers when it is stored. DATABASE in the environment
// is a data source name such as sqlite:/var/lib/receiver/events, TOKEN the one that cmcwh shows.
http_response_code(500); // of whatever goes wrong below: PHP would answer 200 where it shows errors
if (!hash_equals('Bearer ' . getenv('TOKEN'), $_SERVER['HTTP_AUTHORIZATION'] ?? '')) {
    http_response_code(401);
    exit;
}
$database = new PDO(getenv('DATABASE'));
$database->exec('CREATE TABLE IF NOT EXISTS events (id VARCHAR(16) PRIMARY KEY, event TEXT)');
$store = $database->prepare('INSERT OR IGNORE INTO events VALUES (?, ?)'); // MySQL: INSERT IGNORE
$database->beginTransaction();
foreach (explode("\n", rtrim(file_get_contents('php://input'))) as $line) {
    $event = json_decode($line, true);
    if (!isset($event['id'])) {
        http_response_code(400);
        exit; // nothing of it is stored
    }
    $store->execute([$event['id'], $line]);
}
$database->commit();
http_response_code(200);
