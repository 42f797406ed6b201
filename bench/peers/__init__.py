"""Search, a listing and booking as a good project on Django REST Framework has them, to be measured beside ours."""
