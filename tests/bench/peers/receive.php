<?php
// The program behind nginx: is it an event, one JSON line for each, append, sync, answer.
const FIELDS = ['status', 'created', 'messageId', 'from', 'to', 'returnPath', 'subject', 'reason',
    'sourceIp', 'senderIp', 'apiData'];

function answer(int $status, array $body): never
{
    http_response_code($status);
    header('Content-Type: application/json');
    exit(json_encode($body));
}

// In a form the event is JSON within a field; without one PHP has no $_POST.
function body(): mixed
{
    if ($_POST === []) {
        return json_decode(file_get_contents('php://input'), true, 32, JSON_THROW_ON_ERROR);
    }
    return ['event' => json_decode($_POST['event'] ?? '', true, 32, JSON_THROW_ON_ERROR)] + $_POST;
}

function lines(mixed $body): array
{
    $type = is_array($body) ? $body['event_type'] ?? null : null;
    $events = is_string($type) && is_array($body['event'] ?? null) ? $body['event'][$type] ?? null : null;

    if (!is_array($events) || !array_is_list($events) || count(array_filter($events, 'is_array')) !== count($events)) {
        answer(422, ['error' => 'not an event']);
    }
    return array_map(function ($event) use ($body, $type) {
        $line = ['event_type' => $type, 'server_composition' => $body['server_composition'] ?? ''];

        foreach (FIELDS as $field) {
            $line[$field] = $event[$field] ?? '';
        }
        return json_encode($line, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES) . "\n";
    }, $events);
}

function append(string $text): bool
{
    $file = fopen($_SERVER['LOG'], 'a');
    return $file && flock($file, LOCK_EX) && fwrite($file, $text) === strlen($text) &&
        ($_SERVER['SYNC'] === '0' || fdatasync($file));
}

try {
    $lines = lines(body());
} catch (JsonException $error) {
    answer(400, ['error' => $error->getMessage()]);
}
append(implode('', $lines)) ? answer(200, ['stored' => count($lines)]) : answer(500, ['error' => 'not written']);
