/* The topic of an event's MQTT message, made of a template such as cmc/{event_type}/{status}: what
 * stands in braces is taken from the event, and stays within its level whatever it says. */
#ifndef CMCWH_TOPIC_H
#define CMCWH_TOPIC_H

#include "cmcwh.h"

/* Bytes of a template; of a text from an event, which is cut at a character; and of a topic: no
 * name in braces is shorter than {to}. */
enum { TOPIC_TEMPLATE = 255, TOPIC_TEXT = 128, TOPIC_MOST = TOPIC_TEMPLATE / 4 * TOPIC_TEXT + 3 };

/* Levels of it that brokers take. */
enum { TOPIC_LEVELS = 200 };

enum { TOPIC_FAULT = 256 };

/* May this text be sent as a part of a topic, of TOPIC_TEMPLATE bytes at most? */
bool topic_sound(const char *text);

/* Is this a template? False: `fault` says what is wrong, or was expected. */
bool topic_check(const char *template, char fault[TOPIC_FAULT]);

/* Makes the topic of an event from a template that is one. */
void topic_make(const char *template, const struct cmcwh_event *event, char topic[TOPIC_MOST + 1]);

#endif
