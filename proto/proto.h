#pragma once
/* All messages of the image format. */
#include "file.pb-c.h"
#include "fown.pb-c.h"
#include "inventory.pb-c.h"
#include "ipc.pb-c.h"
#include "memory.pb-c.h"
#include "namespace.pb-c.h"
#include "socket.pb-c.h"
#include "task.pb-c.h"
#include "tty.pb-c.h"
