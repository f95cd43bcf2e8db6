/* lwIP's server sends the answers of the endpoint, and nothing else. */
#define FS_ROOT     NULL
#define FS_NUMFILES 0
