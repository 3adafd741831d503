"""Who gets a lock next."""

import threading
import time

from service.domain.fair_lock import FairLock


def test_it_is_had_in_the_order_in_which_it_was_asked_for() -> None:
    lock, order = FairLock(), list[int]()

    def ask(number: int) -> None:
        with lock:
            order.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    with lock:
        for number, thread in enumerate(threads):
            thread.start()
            while len(lock._waiting) <= number:
                time.sleep(0.001)
    with lock:  # behind all of them
        order.append(5)
    assert order == [0, 1, 2, 3, 4, 5]


def test_one_at_a_time_has_it() -> None:
    lock, inside, most = FairLock(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with lock:
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)
    assert not lock._held
