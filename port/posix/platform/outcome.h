/* How a start ends: the exit status of the process. */
#ifndef CMCWH_OUTCOME_H
#define CMCWH_OUTCOME_H

enum outcome {
    OUTCOME_RIGHT = 0,
    OUTCOME_FAILED = 1, /* the next try may go better, though nobody mends anything */
    OUTCOME_WRONG = 2   /* wrong in itself: every try ends so */
};

/* That of a start to which the system has said this error. */
enum outcome outcome_of(int error);

/* Of two things that went wrong, waiting mends neither if it does not mend one. */
enum outcome outcome_worse(enum outcome one, enum outcome other);

#endif
